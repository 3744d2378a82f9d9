package cache

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/proxy/document"
)

// entries has one of each kind, with all that may be in them.
func entries() map[string]*Entry {
	header := http.Header{"Etag": {`"1"`}, "Vary": {"Accept", "Cookie"}, "X-Empty": {}}
	control := freshness{lifetime: time.Minute, whileRevalidate: time.Second, ifError: longest, strict: true, shared: true}
	at := epoch.Add(time.Since(epoch))
	return map[string]*Entry{
		"a mark": (&Entry{kind: kindMark, gen: math.MaxUint64}).sized(),
		"an index": (&Entry{kind: kindIndex, gen: 7, variants: []variant{{names: []string{"Accept", "Cookie"}, key: "v1"},
			{names: []string{}, key: "v2"}}}).sized(),
		"a document": (&Entry{kind: kindAnswer, gen: 7, answer: answer{status: 200, header: http.Header{}, origin: header,
			document: document.MustParse(`{"id":1}`), at: at, age: time.Second, control: control}}).sized(),
		"no document": (&Entry{kind: kindAnswer, answer: answer{status: 204, header: header, at: at}}).sized(),
		"a stream": (&Entry{kind: kindAnswer, gen: 7, answer: answer{status: 404, header: header, trailer: http.Header{"X-Sum": {"1"}},
			stream: true, body: []byte("rows\x00"), tags: []tag{{"news", 8}, {"", 0}}, at: at, control: control}}).sized(),
	}
}

func TestAnEntryIsWhatItsBinaryFormSays(t *testing.T) {
	t.Parallel()
	for name, e := range entries() {
		b, err := e.MarshalBinary()
		require.NoError(t, err, name)
		got := new(Entry)
		require.NoError(t, got.UnmarshalBinary(b), name)
		assert.Equal(t, e.answer.document.String(), got.answer.document.String(), name)
		again, err := got.MarshalBinary()
		require.NoError(t, err, name)
		assert.Equal(t, b, again, name)
		want, read := *e, *got
		want.answer.document, read.answer.document = document.Document{}, document.Document{}
		assert.Equal(t, want, read, name)
		for i := range b {
			assert.Error(t, new(Entry).UnmarshalBinary(b[:i]), "%s: the first %d bytes", name, i)
		}
		assert.Error(t, new(Entry).UnmarshalBinary(append(b, 0)), "%s: and a byte", name)
		b[0]++
		assert.ErrorContains(t, new(Entry).UnmarshalBinary(b), "has version 2, want 1", name)
	}
	_, err := new(Entry).MarshalBinary()
	assert.Error(t, err, "the zero Entry")
}

func FuzzEntry(f *testing.F) {
	for _, e := range entries() {
		b, _ := e.MarshalBinary()
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e := new(Entry)
		if e.UnmarshalBinary(b) != nil {
			assert.Equal(t, new(Entry), e, "an entry that is not read is not written to")
			return
		}
		assert.Less(t, e.Size(), entryOverhead+200*len(b), "no count makes a large entry of few bytes")
		again, err := e.MarshalBinary()
		require.NoError(t, err)
		other := new(Entry)
		require.NoError(t, other.UnmarshalBinary(again))
	})
}
