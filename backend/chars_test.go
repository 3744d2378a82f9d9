package backend

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// White-box: eight bytes are looked at together, so every byte is tried at every place among others.

// proves H7
func TestAControlByteIsFoundAnywhereInAValue(t *testing.T) {
	t.Parallel()
	for length := 1; length <= 20; length++ {
		for at := range length {
			for c := range 256 {
				for _, other := range []string{"a", " ", "\t", "\xff", "\x80"} {
					s := strings.Repeat(other, at) + string([]byte{byte(c)}) + strings.Repeat(other, length-at-1)
					want := c >= ' ' && c != 0x7f || c == '\t'
					if isValue(s) != want {
						t.Fatalf("isValue(%q) is %v", s, !want)
					}
				}
			}
		}
	}
	assert.True(t, isValue(""))
}

func TestCanonicalAgreesWithNetHTTP(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Te", "te", "TE", "X-A", "x-a", "X-a", "X--A", "-A", "A-", "ETag", "Etag", "X1a", "1x", "1X", "X_a", "x_A", "X.A", "X A", "", "é"} {
		got, ok := canonical(name)
		assert.Equal(t, http.CanonicalHeaderKey(name), got, name)
		assert.Equal(t, isToken(name), ok, name)
	}
}
