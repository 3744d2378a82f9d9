// Package document checks, reads, reshapes and merges JSON without decoding it.
//
//	user, err := document.Parse(body)
//	if err != nil {
//		return err // says at which byte
//	}
//	user = user.Drop(secrets)                                   // document.MustPaths("password", "*.token")
//	page, err := document.Merge(0, user, orders.Wrap("orders")) // {"id":7, …, "orders":[…]}
//	if err != nil {
//		return err // says which document
//	}
//	body = page.AppendJSON(body[:0])
//
// A [Document] is the text of one JSON value that has been checked once. It knows where its members
// are and is never written to: each operation returns another Document, made of parts of those that
// it was given. What no operation touches stays the same to the byte: numbers keep their digits and
// members their order.
//
// The package knows nothing of requests and responses, and imports only the standard library.
//
// # Making a document
//
// [Parse] takes bytes from outside and is strict: it accepts RFC 8259 and nothing else, in UTF-8,
// nested at most 512 deep. [Limits] sets other bounds. [Of] makes a document of a Go value, and
// [MustParse] of JSON in code. The zero Document is absent, which is neither null nor {}.
//
// # Paths
//
// A [Path] leads to a value: user.address.city, items.0.id, or items.*.id for the id of every item.
// [ParsePath] describes the syntax; [PathOf] takes names literally. [Paths] and [Renames] are sets
// of paths. All three are compiled, so make them once, not for each document.
//
//	items.0.id      Get: 1        of {"items":[{"id":1},{"id":2}]}
//	items.*.id      Get: [1,2]    * stands for every element or member
//	a\.b            Get: 3        of {"a.b":3}
//
// # Reading
//
// [Document.Get] follows a path. [Document.Members] and [Document.Elements] iterate over one level.
// [Document.Kind] and [Document.Text] tell what a value is. A [Cursor] reads a whole document, as a
// writer of another format does, in time in proportion to its size. [Document.Repeats] tells whether an
// object in it has two members of the same name.
//
// # Reshaping
//
//	Keep, Drop              by Paths: nothing but these; all but these
//	Set, Map                a value at a path, or what a function makes of it
//	Move, Copy, Append      a value from one path to another
//	Rename, RenameAll       a member, or several at once
//	Wrap, Unwrap            put into an object under one name, and taken out of it
//	Fill                    Defaults for members that are missing
//
// Names are compared by what they say: to drop secret also drops "\u0073ecret". An object that
// repeats a name cannot hide a member: Drop removes all members of that name.
//
// # Merging
//
// [Merge] makes one object of many; of members with equal names the last wins. [MergeDeep] also
// merges the objects inside them. [MergeDisjoint] refuses a name that is in two documents. [Concat]
// joins arrays. A [*MergeError] says which document does not fit.
//
// # Go values
//
// [Document.Decode] is json.Unmarshal, and Of is json.Marshal. To convert many documents to or from
// values of one type, use a [Decoder] or an [Encoder]. They know the type beforehand, so a Decoder
// skips members that the type has no field for, and an Encoder need not check the JSON again. A
// Document can also be a field of a struct: it implements [encoding/json.Marshaler] and
// [encoding/json.Unmarshaler].
//
// # Writing JSON by hand
//
// Code that turns another format into JSON appends brackets and commas itself and strings with
// [AppendString]. At the end it has Parse check the whole text.
//
// # Deadlines
//
// An operation takes time in proportion to its input, and often a sender chooses the input. A
// [Work] runs it until a context ends.
//
// # Errors
//
// An operation fails with a [*Error] or a [*MergeError]. Both wrap one of the Err variables, so
// that [errors.Is] tells the reason, or an error of encoding/json. Neither quotes the document, so
// both can be logged; the exceptions are the name in a [*ConflictError] and the text of an error of
// encoding/json.
//
// All types are safe for concurrent use.
package document
