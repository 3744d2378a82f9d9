// Package shape changes what a message carries: the document of a response or a request, and headers.
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
//	shape.Response(func(_ context.Context, d proxy.Document) (proxy.Document, error) { … })
//
// Documents are immutable: an op makes a new one, and a document that others have too, from a cache or another call,
// stays as it was.
//
// # Paths
//
// The ops of this package take paths as [proxy.ParsePath] spells them, such as user.address.city and items.*.id, and
// compile them at wiring. Paths and header names may come from configuration, so one that is invalid is no panic but a
// fault in the plan, where [pipe.Step.Faults] finds all of them and whoever serves the pipe refuses; a call of such a pipe
// fails without calling anything.
package shape
