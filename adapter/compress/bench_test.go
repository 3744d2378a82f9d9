package compress_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/klauspost/compress/gzhttp"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/adapter/compress"
)

// BenchmarkCompress measures an answer of 4.5 KB, beside gzhttp of klauspost/compress.
func BenchmarkCompress(b *testing.B) {
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{"application/json"}
		_, _ = w.Write([]byte(long))
	})
	peer, err := gzhttp.NewWrapper(gzhttp.CompressionLevel(5))
	require.NoError(b, err)
	for name, h := range map[string]http.Handler{"sluice": wrap(b, compress.Spec{}, next), "gzhttp": peer(next)} {
		for _, accept := range []string{"gzip", "zstd", "br"} {
			b.Run(name+"/"+accept, func(b *testing.B) {
				r := httptest.NewRequest("GET", "/", nil)
				r.Header.Set("Accept-Encoding", accept)
				w := &nowhere{header: http.Header{}}
				b.ReportAllocs()
				for b.Loop() {
					clear(w.header)
					h.ServeHTTP(w, r)
				}
			})
		}
	}
}

type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n *nowhere) WriteHeader(int)             {}
