package document_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
)

// Not parallel: it counts allocations.
func TestParseAllocatesOnceForASmallObjectAndTwiceForOthers(t *testing.T) {
	for members, want := range map[int]float64{1: 2, 4: 2, 5: 1, 8: 1, 9: 2, 24: 2} {
		var list []string
		for i := range members {
			list = append(list, fmt.Sprintf(`"member %d":%d`, i, i))
		}
		text := []byte("{" + strings.Join(list, ",") + "}")
		got := testing.AllocsPerRun(100, func() { _, _ = document.Parse(text) })
		assert.Equal(t, want, got, "%d members", members)
	}
}
