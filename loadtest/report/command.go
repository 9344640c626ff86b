package report

import (
	"context"
	"errors"
	"fmt"
	"os"

	"firehose/internal/service"
	"firehose/loadtest"
)

// Command is the command `loadtest report`.
func Command() *service.Command {
	var out string
	return &service.Command{
		Name:      "report",
		Summary:   "one HTML page with plots, of one or several results side by side",
		Arguments: "RESULT...",
		Example:   "loadtest report --out report.html before.json after.json",
		Register: func(f *service.Flags) {
			f.StringVar(&out, "out", "report.html", "`file` of the page; it can be opened without a network")
		},
		Run: func(_ context.Context, args []string) (failed error) {
			if len(args) == 0 {
				return service.Usagef("which results? name one or more files that loadtest run --out has written")
			}
			var results []*loadtest.Result
			for _, path := range args {
				r, err := loadtest.Read(path)
				if err != nil {
					return err
				}
				results = append(results, r)
			}
			file, err := os.Create(out)
			if err != nil {
				return fmt.Errorf("--out: %w", err)
			}
			defer func() { failed = errors.Join(failed, file.Close()) }()
			return Write(file, results...)
		},
	}
}
