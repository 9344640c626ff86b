// Package codec turns a record's value into Go values and back: the wire format
// of Confluent's clients, the schema registry, and the resolution of the schema
// that wrote a value to the one that reads it. Beside it lies the plain JSON in
// which events come in over HTTP and are shown to people.
//
// # Wire format
//
//	0x00 | schema ID, 4 bytes big-endian | Avro binary     what we write
//	0x01 | schema GUID, 16 bytes         | Avro binary     Confluent's newer form
//
// or, when the record has a header __value_schema_id, that header holds the
// prefix and the value is bare Avro binary. The header comes first.
//
// # Use
//
//	registry, err := codec.NewRegistry(codec.RegistryConfig{URLs: urls})
//	decoder := codec.NewDecoder(registry, schema.Avro)
//	frame, err := codec.ParseFrame(record.Value, header)
//	err = decoder.Decode(ctx, frame, &order)
//
// # Errors
//
// Four classes, to be asked with errors.Is: ErrUndecodable, ErrUnknownSchema,
// ErrIncompatible, ErrUnavailable. What a caller's own value has wrong is a
// *FieldError. None of them ever holds payload.
package codec

import (
	"errors"
	"fmt"

	"github.com/twmb/avro"
)

// The classes of errors, to be asked with errors.Is.
var (
	// ErrUndecodable: the bytes are not a value of their schema, and never will
	// be: empty, no magic byte, truncated, trailing bytes, too large.
	ErrUndecodable = errors.New("undecodable")
	// ErrUnknownSchema: the registry answered that it does not have the schema.
	// It may get it later.
	ErrUnknownSchema = errors.New("unknown schema")
	// ErrIncompatible: the schemas cannot be resolved to each other, or the
	// registry refuses the schema for what it is.
	ErrIncompatible = errors.New("incompatible schema")
	// ErrUnavailable: the registry did not answer, or not as a registry does.
	// Transient: nothing is known about the schema.
	ErrUnavailable = errors.New("schema registry unavailable")
)

// FieldError says which field of a value is wrong, and how, without repeating
// what it holds.
type FieldError struct {
	Field   string // e.g. "lines[0].sku"; empty when it is the whole value
	Problem string // e.g. "want a string, got a number"
}

// Error returns "field: problem".
func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Problem
	}
	return e.Field + ": " + e.Problem
}

// avroError describes an error of the Avro library without the value that it
// may quote.
func avroError(err error) string {
	var short *avro.ShortBufferError
	if errors.As(err, &short) {
		return "truncated in a " + short.Type
	}
	var semantic *avro.SemanticError
	if errors.As(err, &semantic) {
		switch {
		case semantic.Field != "" && semantic.AvroType != "":
			return fmt.Sprintf("field %s does not fit type %s", clip(semantic.Field, maxName), clip(semantic.AvroType, maxName))
		case semantic.Field != "":
			return fmt.Sprintf("field %s does not fit", clip(semantic.Field, maxName))
		case semantic.AvroType != "":
			return "does not fit type " + clip(semantic.AvroType, maxName)
		}
	}
	return "not a value of its schema"
}
