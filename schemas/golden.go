package schemas

import (
	"embed"
	"io/fs"
)

//go:embed testdata/golden
var goldenFiles embed.FS

// Golden returns the golden values of the shop's schemas: a file TOPIC.vN.txt
// for each version, with lines of a name and the value's Avro binary in
// hexadecimal digits. They stay readable for ever.
func Golden() fs.FS {
	dir, err := fs.Sub(goldenFiles, "testdata/golden")
	if err != nil {
		panic(err)
	}
	return dir
}
