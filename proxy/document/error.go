package document

import (
	"errors"
	"fmt"
	"strconv"
)

// Why a document is refused or an operation on one fails. They travel in a [*Error] or a
// [*MergeError].
var (
	// ErrSyntax says that the bytes are not one JSON text of RFC 8259: empty input, a byte order
	// mark and anything but white space after the value are among it.
	ErrSyntax = errors.New("invalid JSON")
	// ErrEncoding says that a string is not Unicode: invalid UTF-8, or an escaped surrogate without
	// its pair.
	ErrEncoding = errors.New("invalid UTF-8 or lone surrogate")
	// ErrDepth says that arrays and objects are nested deeper than [Limits] allow, or would be in the
	// result of an operation.
	ErrDepth = errors.New("nested too deep")
	// ErrMembers says that the root object has more members than [Limits] or [Merge] allow.
	ErrMembers = errors.New("too many members")
	// ErrNotObject says that a value of another kind stands where an object is needed.
	ErrNotObject = errors.New("not an object")
	// ErrNotArray says that a value of another kind stands where an array is needed.
	ErrNotArray = errors.New("not an array")
	// ErrAbsent says that there is no value where one is needed.
	ErrAbsent = errors.New("no document")
	// ErrConflict says that two documents have a member of the same name where they must not.
	ErrConflict = errors.New("a member is in two documents")
	// ErrPath says that a text is not a path, see [ParsePath].
	ErrPath = errors.New("invalid path")
)

// An Error says where a document, or a path, is at fault. It holds no byte of the document, except
// what an error of encoding/json in it quotes.
type Error struct {
	// Offset is the byte at which parsing stopped; it is zero where nothing was parsed.
	Offset int
	// Path is the path up to the value in the way; it is empty where no path is involved.
	Path string
	// Err is the reason: it is or wraps one of ErrSyntax, ErrEncoding, ErrDepth, ErrMembers,
	// ErrNotObject, ErrNotArray, ErrAbsent and ErrPath, or is an error of encoding/json.
	Err error
}

// Error returns the place and the reason in one line.
func (e *Error) Error() string {
	if e.Path != "" {
		return fmt.Sprintf("document: path %q: %v", e.Path, e.Err)
	}
	switch e.Err { // not what it wraps: only these come with an offset
	case ErrSyntax, ErrEncoding, ErrDepth, ErrMembers:
		return fmt.Sprintf("document: %v at offset %d", e.Err, e.Offset)
	}
	return fmt.Sprintf("document: %v", e.Err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// A MergeError says which document a merge could not take: [Merge], [MergeDeep], [MergeDisjoint] or
// [Concat].
type MergeError struct {
	// Index is that of the document among the arguments.
	Index int
	// Err is the reason: it is or wraps ErrNotObject, ErrNotArray, ErrDepth, ErrConflict, or
	// ErrMembers if this is the document with which the members were too many.
	Err error
}

// Error returns the index and the reason in one line.
func (e *MergeError) Error() string { return fmt.Sprintf("merge: document %d: %v", e.Index, e.Err) }

// Unwrap returns Err.
func (e *MergeError) Unwrap() error { return e.Err }

// A ConflictError says which member [MergeDisjoint] has found in two documents. It stands in a
// [*MergeError], which has the index of the later one, and wraps [ErrConflict].
type ConflictError struct {
	// Index is that of the earlier document among the arguments.
	Index int
	// Name is that of the member, of any length.
	Name string
}

// Error returns the name, at most 100 bytes of it, and the index in one line.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("%v: %s is in document %d too", ErrConflict, e.Quoted(), e.Index)
}

// Quoted returns the name in quotes for a message, at most 100 bytes of it.
func (e *ConflictError) Quoted() string {
	const most = 100
	if len(e.Name) > most {
		return strconv.Quote(e.Name[:most]) + "…"
	}
	return strconv.Quote(e.Name)
}

// Unwrap returns ErrConflict.
func (e *ConflictError) Unwrap() error { return ErrConflict }
