package document

import (
	"errors"
	"fmt"
	"strconv"
)

// These are the reasons why a document is refused or an operation on it fails. They come wrapped in
// a [*Error] or a [*MergeError].
var (
	// ErrSyntax says that the bytes are not one JSON text of RFC 8259. Empty input, a byte order
	// mark and anything but white space after the value count as such.
	ErrSyntax = errors.New("invalid JSON")
	// ErrEncoding says that a string is not Unicode: it has invalid UTF-8, or an escaped surrogate
	// without its pair.
	ErrEncoding = errors.New("invalid UTF-8 or lone surrogate")
	// ErrDepth says that arrays and objects are nested deeper than [Limits] allows, or would be in
	// the result of an operation.
	ErrDepth = errors.New("nested too deep")
	// ErrMembers says that the root object has more members than [Limits] or [Merge] allows.
	ErrMembers = errors.New("too many members")
	// ErrNotObject says that a value of another kind stands where an object is needed.
	ErrNotObject = errors.New("not an object")
	// ErrNotArray says that a value of another kind stands where an array is needed.
	ErrNotArray = errors.New("not an array")
	// ErrAbsent says that there is no value where one is needed.
	ErrAbsent = errors.New("no document")
	// ErrConflict says that two documents have a member of the same name but must not, as in
	// [MergeDisjoint].
	ErrConflict = errors.New("a member is in two documents")
	// ErrSize says that an operation would add more bytes to a document than [Limits] allows.
	ErrSize = errors.New("too large")
	// ErrPath says that a text is not a path; see [ParsePath].
	ErrPath = errors.New("invalid path")
)

// An Error says where a document or a path is at fault. It contains no byte of the document, except
// those that an error of encoding/json in it quotes.
type Error struct {
	// Offset is the byte at which parsing stopped. It is 0 if nothing was parsed.
	Offset int
	// Path is the path up to the value that is at fault. It is empty if no path is involved.
	Path string
	// Err is the reason. It is or wraps ErrSyntax, ErrEncoding, ErrDepth, ErrMembers, ErrNotObject,
	// ErrNotArray, ErrAbsent, ErrSize or ErrPath, or it is an error of encoding/json.
	Err error
}

// Error returns the place and the reason in one line.
func (e *Error) Error() string {
	if e.Path != "" {
		return fmt.Sprintf("document: path %q: %v", e.Path, e.Err)
	}
	switch e.Err { // compared without unwrapping: only these come with an offset
	case ErrSyntax, ErrEncoding, ErrDepth, ErrMembers:
		return fmt.Sprintf("document: %v at offset %d", e.Err, e.Offset)
	}
	return fmt.Sprintf("document: %v", e.Err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// A MergeError says which document does not fit into a merge by [Merge], [MergeDeep],
// [MergeDisjoint] or [Concat].
type MergeError struct {
	// Index is the index of the document among the arguments.
	Index int
	// Err is the reason. It is or wraps ErrNotObject, ErrNotArray, ErrDepth, ErrConflict or
	// ErrMembers. With ErrMembers, this is the document whose members exceeded the limit.
	Err error
}

// Error returns the index and the reason in one line.
func (e *MergeError) Error() string { return fmt.Sprintf("merge: document %d: %v", e.Index, e.Err) }

// Unwrap returns Err.
func (e *MergeError) Unwrap() error { return e.Err }

// A ConflictError says which member [MergeDisjoint] has found in two documents. It is the reason in
// a [*MergeError], which has the index of the later document, and it wraps [ErrConflict].
type ConflictError struct {
	// Index is the index of the earlier document among the arguments.
	Index int
	// Name is the name of the member. It may be of any length.
	Name string
}

// Error returns the name, cut to 100 bytes, and the index in one line.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("%v: %s is in document %d too", ErrConflict, e.Quoted(), e.Index)
}

// Quoted returns the name in quotes, cut to 100 bytes, for a message.
func (e *ConflictError) Quoted() string {
	const most = 100
	if len(e.Name) > most {
		return strconv.Quote(e.Name[:most]) + "…"
	}
	return strconv.Quote(e.Name)
}

// Unwrap returns ErrConflict.
func (e *ConflictError) Unwrap() error { return ErrConflict }
