package document_test

import (
	"fmt"
	"strings"

	"github.com/sluice-go/sluice/proxy/document"
)

func ExampleCursor() {
	var outline func(c document.Cursor, level int)
	outline = func(c document.Cursor, level int) {
		for name, value := range c.Members() {
			line := strings.Repeat("  ", level) + name + ": "
			if text, ok := value.Text(); ok {
				line += text
			} else {
				line += "an " + value.Kind().String()
			}
			fmt.Println(line)
			outline(value, level+1)
		}
		for _, element := range c.Elements() {
			outline(element, level)
		}
	}
	d := document.MustParse(`{"user": {"name": "Ann", "id": 7}, "tags": [{"eu": true}, {"vip": false}]}`)
	outline(d.Cursor(), 0)
	// Output:
	// user: an object
	//   name: Ann
	//   id: 7
	// tags: an array
	//   eu: true
	//   vip: false
}

// An object can be read twice: first to count its members, which must be known before they are
// written.
func ExampleCursor_Members() {
	row := document.MustParse(`{"Ann": {"age": 36}, "total": 1}`).Cursor()
	columns := 0
	for range row.Members() { // a step over Ann does not read her record
		columns++
	}
	fmt.Println(columns, "columns")
	for name, value := range row.Members() {
		fmt.Println(name, value.Document())
	}
	// Output:
	// 2 columns
	// Ann {"age": 36}
	// total 1
}
