package ids_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/internal/ids"
)

func TestAnIDIsWellFormed(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"": false, "a": true, "Z-9._~+/=:@": true, "a b": false, "a\x00": false, `"`: false, "é": false, "a,b": false,
		strings.Repeat("a", 128): true, strings.Repeat("a", 129): false,
	} {
		assert.Equal(t, want, ids.Valid(id), "%q", id)
	}
	assert.True(t, ids.Valid(ids.New()))
	assert.NotEqual(t, ids.New(), ids.New())
}

func TestTheIDOfARequestIsTheOnlyOne(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "a", ids.Of(http.Header{ids.Header: {"a"}}))
	for _, lines := range [][]string{nil, {}, {"a", "b"}, {"a b"}} {
		assert.Regexp(t, "^[0-9a-f]{32}$", ids.Of(http.Header{ids.Header: lines}))
	}
}
