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
// are and is never written to: each operation returns another Document, made of parts of the ones
// it was given. What nobody touches stays as it came, to the byte: numbers keep their digits and
// members their order.
//
// The package knows nothing of requests and answers, and imports the standard library alone.
//
// # Making a document
//
// [Parse] takes bytes from outside and is strict: RFC 8259 and nothing else, in UTF-8, nested at
// most 512 deep. [Limits] are other bounds. [Of] makes a document of a Go value, and [MustParse] of
// JSON in code. The zero Document is absent, which is neither null nor {}.
//
// # Paths
//
// A [Path] leads to a value: user.address.city, items.0.id, or items.*.id for every item.
// [ParsePath] describes the text; [PathOf] takes names as they are. [Paths] and [Renames] are sets
// of them. All three are compiled, so make them once, not for each document.
//
//	items.0.id      Get: 1        of {"items":[{"id":1},{"id":2}]}
//	items.*.id      Get: [1,2]    every element, or member, is a *
//	a\.b            Get: 3        of {"a.b":3}
//
// # Reading
//
// [Document.Get] follows a path; [Document.Members] and [Document.Elements] go over one level;
// [Document.Kind] and [Document.Text] tell what a value is. A [Cursor] reads all of a document, as
// a writer of another format does, in time in proportion to its size.
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
// Names compare by what they say, so "\u0073ecret" is dropped with secret, and an object that
// repeats a name hides nothing: Drop takes out all of them.
//
// # Merging
//
// [Merge] makes one object of many, the last of equal names wins; [MergeDeep] merges the objects in
// them too; [MergeDisjoint] refuses a name that is in two; [Concat] joins arrays. A [*MergeError]
// says which document does not fit.
//
// # Go values
//
// [Document.Decode] is json.Unmarshal, and Of is json.Marshal. Where many documents become values
// of one type, or the other way round, a [Decoder] and an [Encoder] know the type beforehand: they
// skip what the type has no field for, or need not check again what was written. A Document can be
// a field of a struct, too: it implements [encoding/json.Marshaler] and
// [encoding/json.Unmarshaler].
//
// # Writing JSON by hand
//
// Code that turns another format into JSON appends brackets and commas itself, strings by
// [AppendString], and in the end has Parse check all of it.
//
// # Errors
//
// What goes wrong is a [*Error] or a [*MergeError]. Both wrap one of the Err variables, so that
// [errors.Is] tells the reason, or an error of encoding/json. Neither quotes the document, so they
// can be logged; the exceptions are a name in a [*ConflictError] and what encoding/json says.
//
// All types are safe for concurrent use.
package document
