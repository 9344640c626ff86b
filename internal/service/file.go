package service

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"
)

// maxConfig bounds the configuration file: one that is larger is not one.
const maxConfig = 1 << 20

// setting is one key of the file, with its values in order.
type setting struct {
	name   string
	values []string
	where  string // file:line, for errors
}

// readFile reads a flat YAML mapping of names to scalars or sequences of
// scalars. Values stay the text that was written, so that a flag's own parser
// judges them, not YAML's idea of numbers and booleans.
func readFile(path string) ([]setting, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxConfig {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxConfig)
	}
	var doc yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: more than one document", path)
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: want a mapping of names to values", path, root.Line)
	}
	var settings []setting
	seen := map[string]bool{}
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		s := setting{name: key.Value, where: fmt.Sprintf("%s:%d", path, key.Line)}
		if seen[s.name] {
			return nil, fmt.Errorf("%s: key %q is given twice", s.where, s.name)
		}
		seen[s.name] = true
		if s.values, err = scalars(value); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", s.where, s.name, err)
		}
		settings = append(settings, s)
	}
	return settings, nil
}

func scalars(n *yaml.Node) ([]string, error) {
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return nil, errors.New("no value")
	case n.Kind == yaml.ScalarNode:
		return []string{n.Value}, nil
	case n.Kind == yaml.SequenceNode:
		var values []string
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
				return nil, errors.New("want plain values in the list")
			}
			values = append(values, item.Value)
		}
		return values, nil
	default:
		return nil, errors.New("want a value or a list of values")
	}
}
