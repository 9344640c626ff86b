//go:build race

package docs_test

func init() { flags = []string{"-race"} }
