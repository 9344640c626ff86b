// Package manual writes the pages of docs/ that follow from the code, and the
// alerts that belong to the metrics:
//
//	go run ./internal/manual/generate .
//
// The files are committed. A test fails when they are out of date, and
// `make generate` renews them.
package manual

import (
	"fmt"
	"strings"
)

// Files returns what is generated, by its path in the repository.
func Files() (map[string][]byte, error) {
	metrics, err := metricsPage()
	if err != nil {
		return nil, fmt.Errorf("manual: metrics: %w", err)
	}
	configuration, err := configurationPage()
	if err != nil {
		return nil, fmt.Errorf("manual: configuration: %w", err)
	}
	return map[string][]byte{
		"docs/configuration.md": []byte(configuration),
		"docs/metrics.md":       []byte(metrics),
		"deploy/kafka/kubernetes/base/generated/alerts.yaml": []byte(rulesManifest()),
	}, nil
}

// cell is text in a cell of a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "|", `\|`), "\n", " ")
}
