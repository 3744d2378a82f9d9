// Package shape changes what a message carries: the document of a response or request, headers, the
// query and the status.
//
//	recs := upstream.With(shape.Response(
//		shape.Target("data"),
//		shape.Keep("items.*.id", "items.*.title"),
//		shape.Rename("items", "products"),
//		shape.Group("recs"),
//	))
//
// An [Op] is a pure operation on a document. [Response] and [Request] are decorators that run ops
// in the order written. The example makes {"recs":{"products":[…]}} from
// {"data":{"items":[…],"page":1}}. Any function of the type Op is an op:
//
//	shape.Response(func(_ context.Context, d document.Document) (document.Document, error) { … })
//
// # Ops
//
//	Target, TargetOrEmpty   select the value at a path
//	Keep, Drop              keep only the values at paths, or drop only those
//	Rename                  rename members, all at once, so that two can be swapped
//	Group, Ungroup          make the document a member of an object, and undo that
//	Set, Delete             set or delete a value
//	Copy, Move              put a value at another path, in every element or into one array
//	Append                  add the elements of one array to the end of another
//	Upper, Lower, Trim,
//	Replace                 change the strings at paths
//	Typed                   call a Go function from one type to another
//
// Further decorators change the rest of a message:
//
//	SetHeader, RemoveHeader                  headers of the request
//	SetResponseHeader, RemoveResponseHeader  headers of the response
//	SetQuery, RemoveQuery                    the query
//	Body                                     the request's body, from a template
//	RewriteLocation, RewriteCookieDomain,
//	RewriteCookiePath                        what an upstream says about its own address
//	MapStatus                                the status of responses and errors
//
// # Documents
//
// Documents are immutable. An op makes a new document, so a document that is shared, from a cache
// or another call, stays as it was. Ops outside a cache therefore shape every answer, and ops
// inside it shape what the cache keeps. Whatever no op names stays byte for byte as it came:
// numbers keep their digits, and members keep their order.
//
// Member names compare by their meaning, not by their escapes. If an object repeats a name, an op
// changes all members of that name and reads the last; see [document.Document]. No op but Group
// nests a value deeper than [document.DefaultDepth].
//
// # Partial answers
//
// A partial answer, such as a merge without one of its optional parts, is shaped like any other and
// keeps its Err. A value that an op reads may then be missing. Copy, Move, Append, Delete, Rename
// and similar ops then do nothing, so that a page can still be served. Target and Typed need their
// value, and fail.
//
// # Errors
//
// If a document does not fit, for example because a scalar is in the way of a path, the error is a
// [*document.Error] that names the path, after the name of the op:
//
//	shape: move: document: path "user": not an object
//
// It has status 502 for a response, because the upstream is at fault, and 400 for a request.
//
// # Paths
//
// The ops of this package take paths in the syntax of [document.ParsePath], such as
// user.address.city and items.*.id, and compile them at wiring. Paths and header names may come
// from configuration, so an invalid one does not panic but is a fault in the plan.
// [pipe.Step.Faults] finds all faults, and the endpoint, router or agent that serves the pipe
// refuses it. A call of such a pipe fails without calling anything.
package shape
