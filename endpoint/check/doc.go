// Package check refuses requests by what is easily told of them: the type of the body, and the values
// in the query.
//
//	create := orders.With(
//		check.ContentType("application/json"),
//		check.Query(
//			check.Param{Name: "page", Value: check.Int(1, 100)},
//			check.Param{Name: "sort", Value: check.OneOf("name", "date")},
//			check.Param{Name: "q", Value: check.Text(1, 80), Required: true},
//		),
//	)
//
// The decorators read no body, so they can be among the Guards of an endpoint, where a request is
// refused before its body has arrived, as well as in any pipe. What they let through goes on as it
// came.
//
// Package endpoint/jsonschema checks what is in a body.
package check
