// Package recipes has the code of docs/recipes.md. Each recipe of that page is an example here,
// which is compiled, run and compared with the page. After a change,
//
//	go test ./examples/recipes -update
//
// writes the code of the examples into the page.
package recipes
