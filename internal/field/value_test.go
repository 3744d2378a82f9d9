package field_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/internal/field"
)

// IsValue checks eight bytes at once, so the test tries every byte at every offset.
//
// proves H7
func TestAControlByteIsFoundAnywhereInAValue(t *testing.T) {
	t.Parallel()
	for length := 1; length <= 20; length++ {
		for at := range length {
			for c := range 256 {
				for _, other := range []string{"a", " ", "\t", "\xff", "\x80"} {
					s := strings.Repeat(other, at) + string([]byte{byte(c)}) + strings.Repeat(other, length-at-1)
					want := c >= ' ' && c != 0x7f || c == '\t'
					if field.IsValue(s) != want {
						t.Fatalf("IsValue(%q) is %v", s, !want)
					}
				}
			}
		}
	}
	assert.True(t, field.IsValue(""))
}

func TestValuesCopiesOnlyValidValues(t *testing.T) {
	t.Parallel()
	in := []string{"a", "b\a", "c\td"}
	out := field.Values(in)
	assert.Equal(t, []string{"a", "c\td"}, out)
	out[0] = "changed"
	assert.Equal(t, []string{"a", "b\a", "c\td"}, in)
	assert.False(t, field.AreValues(in))
	assert.True(t, field.AreValues(out))
	assert.Nil(t, field.Values(nil))
	assert.NotNil(t, field.Values([]string{}))
}

// proves U2
func TestValidSegmentRefusesDotsAndLineBreaks(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "a", "...", "a/b", "%2e", "\t", "é", "\xff"} {
		assert.True(t, field.ValidSegment(s), "%q", s)
	}
	for _, s := range []string{".", "..", "\x00", "a\rb", "a\n"} {
		assert.False(t, field.ValidSegment(s), "%q", s)
	}
}

// proves U7
func TestACheckSaysWhatIsWrongWithAValue(t *testing.T) {
	t.Parallel()
	const dots, control = `the value is "." or ".."`, "the value holds NUL, CR or LF"
	for s, want := range map[string]struct{ segment, query string }{
		"": {"the value is empty", "the value is empty"}, ".": {dots, ""}, "..": {dots, ""},
		"\x00": {control, control}, "a\rb": {control, control}, "a\n": {control, control}, "a/b": {"", ""},
	} {
		for _, check := range []struct {
			err  error
			want string
		}{{field.CheckSegment(s), want.segment}, {field.CheckQuery(s), want.query}} {
			if check.want == "" {
				assert.NoError(t, check.err, "%q", s)
			} else {
				assert.EqualError(t, check.err, check.want, "%q", s)
			}
		}
	}
}
