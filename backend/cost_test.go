package backend_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// proves T10
func TestDecodersAllocateInProportionToTheBody(t *testing.T) {
	const size = 1 << 20
	fill := func(part string) string { return strings.Repeat(part, size/len(part)) }
	count := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for _, tt := range []struct {
		name   string
		decode backend.Decoder
		body   string
	}{
		{"xml: text and empty elements", backend.XML, "<r>" + fill("a<a/>") + "</r>"},
		{"xml: empty elements", backend.XML, "<r>" + fill("<a/>") + "</r>"},
		{"xml: end tags", backend.XML, "<r>" + fill("<a></a>") + "</r>"},
		{"xml: text in elements", backend.XML, "<r>" + fill("<a>b</a>") + "</r>"},
		{"xml: attributes", backend.XML, "<r>" + fill("<a b='' c=''/>") + "</r>"},
		{"xml: attributes of an element", backend.XML, "<r " + count("a%x=''") + "/>"},
		{"xml: attributes with space", backend.XML, "<r>" + fill("<a b = ''/>") + "</r>"},
		{"xml: names", backend.XML, "<r>" + count("<a%x/>") + "</r>"},
		{"xml: no attributes", backend.XML, "<r>" + fill("='") + "</r>"},
		{"xml: instructions", backend.XML, "<r>" + fill("<?a?>") + "</r>"},
		{"xml: sections", backend.XML, "<r>" + fill("<![CDATA[]]>") + "</r>"},
		{"xml: text with comments", backend.XML, "<r>" + fill("a<!---->") + "</r>"},
		{"xml: references", backend.XML, "<r>" + fill("&lt;") + "</r>"},
		{"xml: what JSON escapes", backend.XML, "<r>" + fill(`"`) + "</r>"},
		{"xml: windows-1252", backend.XML, "<?xml version='1.0' encoding='windows-1252'?><r>" + fill("\x80") + "</r>"},
		{"text: control characters", backend.Text, fill("\x01")},
		{"text: quotes", backend.Text, fill(`"`)},
		{"text", backend.Text, fill("a")},
		{"json: members", backend.JSON, "{" + fill(`"":1,`) + `"":1}`},
		{"json: arrays", backend.JSON, "[" + fill("[],") + "1]"},
		{"auto", backend.Auto(nil), "<r>" + fill("a<a/>") + "</r>"},
	} {
		var before, after runtime.MemStats
		body := []byte(tt.body)
		runtime.ReadMemStats(&before)
		_, err := tt.decode.Decode("text/xml", body)
		runtime.ReadMemStats(&after)
		if factor := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(body)); assert.NoError(t, err, tt.name) {
			t.Logf("%s: %.1f", tt.name, factor)
			assert.Less(t, factor, 16.0, tt.name)
		}
	}
}

// A decoderFunc is a ContextDecoder that fails.
type decoderFunc func(context.Context) error

func (f decoderFunc) String() string { return "func" }

func (f decoderFunc) Decode(string, []byte) (document.Document, error) {
	return document.Document{}, errors.New("called without a context")
}

func (f decoderFunc) DecodeContext(ctx context.Context, _ string, _ []byte) (document.Document, error) {
	return document.Document{}, f(ctx)
}

// A deadline is a context that is over once it has been asked for its error a number of times.
type deadline struct {
	context.Context
	left int
}

func (d *deadline) Err() error {
	if d.left--; d.left < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// proves T10
func TestADecoderThatGoesOnAfterItsContext(t *testing.T) {
	t.Parallel()
	nodes := "<r>" + strings.Repeat("a<a/>", 10_000) + "</r>"
	var attributes strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&attributes, " a%d=''", i)
	}
	long := strings.Repeat("\x01", 1<<20)
	for _, tt := range []struct {
		name, contentType string
		decode            backend.Decoder
		body              string
	}{
		{"xml", "text/xml", backend.XML, nodes},
		{"xml with a spec", "text/xml", backend.XMLWith(backend.XMLSpec{}), nodes},
		{"xml of one element", "text/xml", backend.XML, "<r" + attributes.String() + "/>"},
		{"xml of one text", "text/xml", backend.XML, "<r>" + strings.Repeat("a\n", 1<<19) + "</r>"},
		{"xml in another charset", "text/xml; charset=windows-1252", backend.XML, "<r>" + strings.Repeat("\x80", 1<<20) + "</r>"},
		{"auto", "text/xml", backend.Auto(nil), nodes},
		{"text", "text/plain", backend.Text, long},
		{"json", "application/json", backend.JSON, "[" + strings.Repeat("1,", 20_000) + "1]"},
		{"json with limits", "application/json", backend.JSONWith(document.Limits{Depth: 1}), "[" + strings.Repeat("1,", 20_000) + "1]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			decode := tt.decode.(backend.ContextDecoder).DecodeContext
			whole := &deadline{t.Context(), math.MaxInt}
			_, err := decode(whole, tt.contentType, []byte(tt.body))
			require.NoError(t, err)
			looks := math.MaxInt - whole.left
			require.Greater(t, looks, 10, "it never looks at its context")
			for _, left := range []int{0, 1, looks / 3, looks / 2, 2 * looks / 3, looks - 1} {
				ctx := &deadline{t.Context(), left}
				_, err := decode(ctx, tt.contentType, []byte(tt.body))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				assert.GreaterOrEqual(t, ctx.left, -2, "it goes on after its context")
			}
		})
	}
}

// proves T10
func TestAContextThatEndsWhileDecodingIsTheReason(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	expire := decoderFunc(func(ctx context.Context) error {
		cancel(nil)
		return ctx.Err()
	})
	p := newBackend(t, &answers{body: "<a/>"}, backend.Spec{Decode: expire})
	_, err := p(ctx, proxy.NewRequest("GET", "/"))
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err), "not 502: the upstream did nothing wrong")
}
