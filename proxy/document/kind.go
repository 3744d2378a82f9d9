package document

import "strconv"

// A Kind is the type of a JSON value, or Absent where there is none.
type Kind uint8

// The kinds of a [Document].
const (
	// Absent is the kind of the zero Document.
	Absent Kind = iota
	// Null is the literal null.
	Null
	// Bool is true or false.
	Bool
	// Number is a number of any size and precision.
	Number
	// String is a string.
	String
	// Array is an array, with or without elements.
	Array
	// Object is an object, with or without members.
	Object
)

// String returns the name of the kind in lower case.
func (k Kind) String() string {
	names := [...]string{"absent", "null", "bool", "number", "string", "array", "object"}
	if int(k) >= len(names) {
		return "kind " + strconv.Itoa(int(k))
	}
	return names[k]
}

func kindOf(first byte) Kind {
	switch first {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't', 'f':
		return Bool
	case 'n':
		return Null
	}
	return Number
}
