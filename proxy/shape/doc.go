// Package shape changes what a message carries: the document of a response or a request, headers, query and status.
//
//	recs := upstream.With(shape.Response(
//		shape.Target("data"),
//		shape.Keep("items.*.id", "items.*.title"),
//		shape.Rename("items", "products"),
//		shape.Group("recs"),
//	))
//
// An [Op] is a pure operation on a document. [Response] and [Request] are decorators that run ops in the order written,
// here from {"data":{"items":[…],"page":1}} to {"recs":{"products":[…]}}. Any function of that type is an op:
//
//	shape.Response(func(_ context.Context, d document.Document) (document.Document, error) { … })
//
// # Ops
//
//	Target, TargetOrEmpty   the value at a path alone
//	Keep, Drop              nothing but what paths lead to, or all but that
//	Rename                  other names for members, all at once, so two can be swapped
//	Group, Ungroup          the document as a member, and back
//	Set, Delete             a value put in, or taken out
//	Copy, Move              a value from one path to another; of every element, or of all elements into one array
//	Append                  the elements of one array behind those of another
//	Upper, Lower, Trim,
//	Replace                 the strings at paths
//	Typed                   a Go function from one type to another
//
// Decorators beside them change what is no document:
//
//	SetHeader, RemoveHeader                  headers of the request
//	SetResponseHeader, RemoveResponseHeader  headers of the response
//	SetQuery, RemoveQuery                    the query
//	Body                                     the request's body, from a template
//	MapStatus                                the status of responses and errors
//
// # Documents
//
// Documents are immutable: an op makes a new one, and a document that others have too, from a cache or another call,
// stays as it was. So what stands outside a cache shapes every answer, and what stands inside it shapes what is kept. What
// no op names stays byte for byte as it came: numbers keep their digits, members their order.
//
// Names compare by what they say, and an object may repeat one: an op acts on all members of that name, and reads the last,
// see [document.Document]. Apart from Group, no op nests a value deeper than [document.DefaultDepth].
//
// # Partial answers
//
// A partial answer, such as a merge without one of its optional parts, is shaped like any other, and Err stays with it. What
// an op reads may then be missing: Copy, Move, Append, Delete, Rename and the like do nothing then, which is what one wants
// of a page. Target and Typed cannot do without, and fail.
//
// # Errors
//
// A document that does not fit, as with a scalar in the way of a path, is a [*document.Error] that names the path,
// behind the name of the op, as in
//
//	shape: move: document: path "user": not an object
//
// with status 502 for a response, whose upstream is at fault, and 400 for a request.
//
// # Paths
//
// The ops of this package take paths as [document.ParsePath] spells them, such as user.address.city and items.*.id, and
// compile them at wiring. Paths and header names may come from configuration, so one that is invalid is no panic but a
// fault in the plan, where [pipe.Step.Faults] finds all of them and whoever serves the pipe refuses; a call of such a pipe
// fails without calling anything.
package shape
