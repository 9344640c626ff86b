package codec

import (
	"errors"

	"github.com/twmb/avro"
)

// encodeError says which field of a caller's value is wrong.
func encodeError(err error) error {
	var field string
	var semantic *avro.SemanticError
	problem := "does not fit the schema"
	if errors.As(err, &semantic) {
		field = clip(semantic.Field, maxName)
		if semantic.AvroType != "" {
			problem = "does not fit type " + clip(semantic.AvroType, maxName)
		}
	}
	return &FieldError{Field: field, Problem: problem}
}
