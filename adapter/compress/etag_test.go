package compress_test

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/adapter/compress"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// The ETag of an endpoint is weak, so it stands for the answer in any coding.
func TestTheETagOfAnEndpointHoldsForEachCoding(t *testing.T) {
	t.Parallel()
	doc := document.MustParse(`"` + long + `"`)
	h, err := endpoint.New(endpoint.Spec{ETag: true, CacheControl: "max-age=60", Proxy: func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: doc}, nil
	}})
	require.NoError(t, err)
	h = wrap(t, compress.Spec{}, h)
	tags := map[string]bool{}
	for _, accept := range []string{"gzip", "zstd", "identity"} {
		res := record(h, "GET", "Accept-Encoding", accept)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		assert.Equal(t, doc.String(), decode(t, res.Header.Get("Content-Encoding"), string(body)))
		tag := res.Header.Get("Etag")
		tags[tag] = true

		res = record(h, "GET", "Accept-Encoding", accept, "If-None-Match", `"x-gzip", `+tag)
		body, err = io.ReadAll(res.Body)
		require.NoError(t, err)
		assert.Equal(t, 304, res.StatusCode)
		assert.Empty(t, body)
		assert.Equal(t, tag, res.Header.Get("Etag"))
		assert.Equal(t, "private, max-age=60", res.Header.Get("Cache-Control"))
		assert.Equal(t, "Accept-Encoding", res.Header.Get("Vary"))
		assert.Empty(t, res.Header.Get("Content-Encoding"))
	}
	assert.Len(t, tags, 1)
}
