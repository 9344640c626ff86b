// Generate writes the generated pages into the repository that it is given.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"firehose/internal/manual"
)

//go:generate go run . ../../..

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "generate: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("want the repository to write into")
	}
	files, err := manual.Files()
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(args[0], filepath.FromSlash(name)), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
