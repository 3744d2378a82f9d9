package document_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func ExampleAppendString() {
	row := append([]byte(`{`), `"title":`...)
	row = document.AppendString(row, "Tom & \"Jerry\"\n")
	row = append(row, '}')
	d, err := document.Parse(row)
	fmt.Println(d, err)
	// Output: {"title":"Tom & \"Jerry\"\n"} <nil>
}

func TestAppendStringEscapesOnlyWhatItMust(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                       `""`,
		`a "b" \ /`:              `"a \"b\" \\ /"`,
		"\n\r\t\b\f\x00\x1f\x7f": `"\n\r\t\b\f\u0000\u001f` + "\x7f\"",
		"<&>\u2028é日😀":           "\"<&>\u2028é日😀\"",
		"\xff\xc3a\xe2\x82\xed\xa0\x80\xf0\x9f\x98": `"` + "��a" + strings.Repeat("�", 8) + `"`,
	} {
		assert.Equal(t, "kept "+want, string(document.AppendString([]byte("kept "), in)), "%q", in)
		assert.Equal(t, want, string(document.AppendString(nil, []byte(in))), "%q", in)
	}
}

func TestAppendStringKeepsCharactersWholeAtAnyOffset(t *testing.T) {
	t.Parallel()
	for _, c := range []string{"é", "日", "😀", "\"", "\n", "\xff", "\xe6\x97"} {
		for before := range 200 {
			in := strings.Repeat("x", before) + c + strings.Repeat("y", 200) + c
			var got string
			require.NoError(t, json.Unmarshal(document.AppendString(nil, in), &got), "%q behind %d bytes", c, before)
			var want string // what is not UTF-8 becomes U+FFFD, byte by byte
			for _, r := range in {
				want += string(r)
			}
			require.Equal(t, want, got, "%q behind %d bytes", c, before)
		}
	}
}

func TestAppendStringMakesRoomOnce(t *testing.T) {
	plain := strings.Repeat("no escape in here", 1000)
	grown := testing.AllocsPerRun(100, func() { _ = document.AppendString([]byte(nil), plain) })
	assert.LessOrEqual(t, grown, 2.0, "one, and under the race detector another one of slices.Grow")
	escapes := strings.Repeat("\"é\n\x01", 100)
	buf := make([]byte, 0, 6*len(escapes)+2)
	assert.Zero(t, testing.AllocsPerRun(100, func() { _ = document.AppendString(buf, escapes) }))
}

// FuzzAppendString checks that encoding/json reads back the same string.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a\"\\/\b\f\n\r\t\x00\x7f", "é日😀\u2028", "\xff\xc3(\xe2\x82", strings.Repeat("x", 63) + "é\"" + strings.Repeat("日", 70) + "\xe6\x97"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := document.AppendString(nil, s)
		assert.Equal(t, out, document.AppendString(nil, []byte(s)))
		assert.True(t, utf8.Valid(out))
		_, err := document.Parse(out)
		require.NoError(t, err)
		marshalled, err := json.Marshal(s)
		require.NoError(t, err)
		var got, want string
		require.NoError(t, json.Unmarshal(out, &got))
		require.NoError(t, json.Unmarshal(marshalled, &want))
		assert.Equal(t, want, got)
		assert.LessOrEqual(t, len(out), len(marshalled))
	})
}
