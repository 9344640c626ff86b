//go:build race

package docs_test

import (
	"os/exec"
	"strings"
)

func init() {
	out, err := exec.Command("../.ci/race").Output()
	if err != nil {
		panic(err)
	}
	flags = strings.Fields(string(out))
}
