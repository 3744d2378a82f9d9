package call

import "reflect"

// IsNil reports whether a value of an interface is nil or a nil pointer, whose methods would panic.
func IsNil(v any) bool {
	if v == nil {
		return true
	}
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}
