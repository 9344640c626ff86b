package codec

import (
	"reflect"

	"github.com/twmb/avro"
)

// ReadByProgram says that values of s are read into v's type by a program, not
// by the library.
func ReadByProgram(s *avro.Schema, v any) (bool, error) {
	n, err := nodeOf(s)
	if err != nil {
		return false, err
	}
	return compileProgram(n, reflect.TypeOf(v).Elem()) != nil, nil
}
