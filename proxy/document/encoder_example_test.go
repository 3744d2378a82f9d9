package document_test

import (
	"fmt"

	"github.com/sluice-go/sluice/proxy/document"
)

func ExampleEncoder() {
	type point struct{ X, Y int }
	points := document.EncoderOf[point]() // once, for any number of values
	d, err := points.Encode(point{1, 2})
	fmt.Println(d, err, points.RunsCode())
	// Output: {"X":1,"Y":2} <nil> false
}
