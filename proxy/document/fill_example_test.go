package document_test

import (
	"fmt"

	"github.com/sluice-go/sluice/proxy/document"
)

func ExampleDocument_Fill() {
	defaults, err := document.DefaultsOf(document.MustParse(`{"currency":"EUR","limit":20}`)) // once
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{`{"id":7}`, `{"limit":null,"currency":"CHF"}`} {
		fmt.Println(document.MustParse(text).Fill(defaults))
	}
	fmt.Println(document.Document{}.Fill(defaults))
	// Output:
	// {"id":7,"currency":"EUR","limit":20} <nil>
	// {"limit":null,"currency":"CHF"} <nil>
	// {"currency":"EUR","limit":20} <nil>
}
