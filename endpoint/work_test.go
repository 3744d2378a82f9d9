package endpoint_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// A deadline is a context that is over once it has been asked for its error a number of times.
type deadline struct {
	context.Context
	left, asked int
}

func (d *deadline) Err() error {
	if d.asked++; d.asked > d.left {
		return context.DeadlineExceeded
	}
	return nil
}

// proves T10
func TestAnEncoderThatGoesOnAfterItsContext(t *testing.T) {
	t.Parallel()
	var attributes strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&attributes, `"@a%d":1,`, i)
	}
	records := `[` + strings.Repeat(`{"a":1},`, 20_000) + `{}]`
	for _, tt := range []struct {
		name    string
		encoder endpoint.Encoder
		json    string
		looks   int // at least
	}{
		{"xml of elements", endpoint.XML, records, 20},
		{"xml in a root", endpoint.XMLRoot("page"), records, 20},
		{"xml of attributes", endpoint.XML, `{` + attributes.String() + `"b":1}`, 20},
		{"xml of one text", endpoint.XML, `"` + strings.Repeat("é<", 1<<19) + `"`, 20},
		{"xml of one name", endpoint.XML, `{"` + strings.Repeat("_xé", 20_000) + `":1}`, 20},
		{"a collection", endpoint.Collection("items"), `{` + strings.Repeat(`"a":1,`, 20_000) + `"items":[1]}`, 1},
		{"json", endpoint.JSON, `[1]`, 1},
		{"text", endpoint.Text, `"a"`, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, encode := documentOf(tt.json), tt.encoder.(endpoint.ContextEncoder).EncodeContext
			whole := &deadline{Context: t.Context(), left: math.MaxInt}
			got, err := encode(whole, nil, d)
			require.NoError(t, err)
			want, err := tt.encoder.Encode(nil, d)
			require.NoError(t, err)
			assert.True(t, string(want) == string(got))
			require.GreaterOrEqual(t, whole.asked, tt.looks, "it does not look at its context")
			for _, left := range []int{0, whole.asked / 3, whole.asked / 2, whole.asked - 1} {
				ctx := &deadline{Context: t.Context(), left: left}
				_, err := encode(ctx, nil, d)
				assert.Equal(t, context.DeadlineExceeded, err)
				assert.LessOrEqual(t, ctx.asked, left+2, "it goes on after its context")
			}
		})
	}
}

// A patient encoder writes until its context ends.
type patient struct{ csv }

func (p patient) EncodeContext(ctx context.Context, dst []byte, _ document.Document) ([]byte, error) {
	<-ctx.Done()
	return dst, fmt.Errorf("rows: %w", ctx.Err())
}

// proves T10
func TestAnEncoderThatIsWaitedForPastTheTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, err := endpoint.New(endpoint.Spec{Timeout: time.Second, Encode: []endpoint.Encoder{patient{csv{types: textCSV}}},
			Proxy: func(context.Context, *proxy.Request) (*proxy.Response, error) {
				return &proxy.Response{Document: documentOf(`[1]`)}, nil
			}})
		require.NoError(t, err)
		start, w := time.Now(), httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		assert.Equal(t, http.StatusGatewayTimeout, w.Code)
		assert.Equal(t, time.Second, time.Since(start))
	})
}
