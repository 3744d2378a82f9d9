package byhand

import (
	"fmt"
	"strings"
)

// Document returns a JSON object of about size bytes whose member names begin with prefix: a few
// scalars, a nested object, and a list of records, as the answers of services often are.
func Document(prefix string, size int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `{"%[1]sId":"%[1]s-4711","%[1]sVersion":12,"%[1]sActive":true,"%[1]sNote":null,`, prefix)
	fmt.Fprintf(&b, `"%sOwner":{"id":42,"name":"Ada Lovelace","address":{"city":"London","zip":"EC1A 1BB","geo":[51.5202,-0.0977]}},`, prefix)
	fmt.Fprintf(&b, `"%sItems":[`, prefix)
	for i := 0; b.Len() < size-200; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"sku":"SKU-%06d","name":"Item number %d, \"boxed\"","price":%d.%02d,"tags":["new","sale"],"stock":{"here":%d,"there":0}}`,
			i, i*37, i, i%90+1, i%100, i%7)
	}
	fmt.Fprintf(&b, `],"%sTotal":1234567890.25}`, prefix)
	return []byte(b.String())
}
