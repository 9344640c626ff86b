package testbed

import (
	"fmt"
	"os"
	"path/filepath"
)

// Source returns the path of a file of this repository, which is named from its
// root: tests run in the folder of their package.
func Source(name string) (string, error) {
	at, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; at = filepath.Dir(at) {
		file := filepath.Join(at, filepath.FromSlash(name))
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s is nowhere above this package: %w", name, errMissing)
		}
	}
}
