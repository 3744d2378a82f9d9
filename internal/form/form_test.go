package form_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/internal/form"
)

// read reads what written writes.
func read(b []byte) (n int64, flag bool, text string, list []string, h http.Header, err error) {
	r := form.NewReader(b)
	n, flag, text, list, h = r.Number(), r.Flag(), r.Text(), r.List(), r.Header()
	return n, flag, text, list, h, r.End()
}

func written(n int64, flag bool, text string, list []string, h http.Header) []byte {
	var w form.Writer
	w.Number(n)
	w.Flag(flag)
	w.Text(text)
	w.List(list)
	w.Header(h)
	return w
}

func TestWhatWasWrittenIsRead(t *testing.T) {
	t.Parallel()
	for _, h := range []http.Header{nil, {}, {"A": {"1", "\xff"}, "B": {""}}} {
		n, flag, text, list, got, err := read(written(-7, true, "\x00", []string{"a", ""}, h))
		require.NoError(t, err)
		assert.Equal(t, int64(-7), n)
		assert.True(t, flag)
		assert.Equal(t, "\x00", text)
		assert.Equal(t, []string{"a", ""}, list)
		assert.Equal(t, h, got)
	}
}

func TestWhatIsCutOffOrTooLongIsRefused(t *testing.T) {
	t.Parallel()
	whole := written(300, false, "text", []string{"a"}, http.Header{"A": {"1"}})
	for i := range whole {
		_, _, _, _, _, err := read(whole[:i])
		assert.ErrorIs(t, err, form.ErrForm, "of %d bytes", i)
	}
	_, _, _, _, _, err := read(append(whole, 0))
	assert.ErrorIs(t, err, form.ErrForm)
}

func FuzzReader(f *testing.F) {
	f.Add([]byte{})
	f.Add(written(1, true, "x", []string{"y"}, http.Header{"A": {"1"}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, flag, text, list, h, err := read(b)
		if err == nil {
			n2, flag2, text2, list2, h2, err := read(written(n, flag, text, list, h))
			require.NoError(t, err)
			assert.Equal(t, []any{n, flag, text, list, h}, []any{n2, flag2, text2, list2, h2})
		}
	})
}
