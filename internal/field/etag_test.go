package field_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/internal/field"
)

func TestAListHasAnETag(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		lines []string
		etag  string
		want  bool
	}{
		{nil, `"a"`, false},
		{[]string{`"a"`}, `"a"`, true},
		{[]string{`W/"a"`}, `"a"`, true},
		{[]string{`"a"`}, `W/"a"`, true},
		{[]string{`w/"a"`}, `"a"`, false},
		{[]string{`"b", W/"a"`}, `"a"`, true},
		{[]string{`"b"`, `"a"`}, `"a"`, true},
		{[]string{`"b,"a""`}, `"a"`, false},
		{[]string{`"a`}, `"a"`, false},
		{[]string{` * `}, ``, true},
		{[]string{`""`}, ``, false},
		{[]string{`""`}, `""`, true},
		{[]string{`"b", *`}, `"a"`, false},
	} {
		assert.Equal(t, tt.want, field.HasETag(tt.lines, tt.etag), "%q has %s", tt.lines, tt.etag)
	}
}

func FuzzHasETag(f *testing.F) {
	f.Add(`"a", W/"b"`, `"b"`)
	f.Add(`*`, `"b"`)
	f.Add(`"b`, `"b"`)
	f.Fuzz(func(t *testing.T, list, etag string) {
		if field.HasETag([]string{list}, etag) && strings.Trim(list, " \t") != "*" {
			assert.Contains(t, list, strings.TrimPrefix(etag, "W/"))
		}
		if len(etag) > 1 && etag[0] == '"' && strings.IndexByte(etag[1:], '"') == len(etag)-2 {
			assert.True(t, field.HasETag([]string{`"x"x, ` + list, `"x" , W/` + etag + list}, etag), "%q", etag)
		}
	})
}
