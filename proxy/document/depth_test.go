package document_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDepth(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int{``: 0, `1`: 0, `"[["`: 0, `[]`: 1, `{}`: 1, `[1,[2],{"a":[{}]}]`: 4,
		`{"[[[[":"{{{\"[[","a":"yY_\u005b"}`: 1, `[[],[[]],"\\",[]]`: 3} {
		assert.Equal(t, want, parseSome(t, in).Depth(), in)
	}
}
