package test_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
)

// explainedDocuments are the files of the JSON test suite that are not JSON but do not fail, with
// the reason.
var explainedDocuments = map[string]string{
	"n_structure_no_data.json": "no bytes at all: an answer without a body is no document (204, 205 or 200), so ours has no body",
}

// An answer that an upstream calls JSON is passed on exactly if it is JSON, and otherwise fails.
//
// proves F8, M8, M18, L17
func TestJSONTestSuite(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../proxy/document/testdata/jsontestsuite/*.json")
	require.NoError(t, err)
	contents := map[string][]byte{}
	for _, file := range files {
		contents[filepath.Base(file)], err = os.ReadFile(file)
		require.NoError(t, err)
	}
	upstream := serveTwin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(contents[r.URL.Query().Get("name")])
	}))
	tr := upstream.transport()
	t.Cleanup(tr.CloseIdleConnections)
	gateway := serveRoutes(t, backend.HTTP{Transport: tr}, map[string]backend.Spec{"/{name}": {URL: "http://upstream/?name={name}"}})

	counts := map[string]int{}
	for name, content := range contents {
		status, body := ask(t, gateway, getText("/"+url.PathEscape(name), ""))
		kind := name[:1]
		if kind == "i" && (strings.HasPrefix(name, "i_number_") || name == "i_structure_500_nested_arrays.json") {
			kind = "i accepted"
		}
		if explainedDocuments[name] != "" {
			kind = "explained"
		}
		counts[kind]++
		switch kind {
		case "y", "i accepted":
			assert.Equal(t, 200, status, name)
			assert.Equal(t, string(bytes.TrimSpace(content)), string(body), "%s: every byte is kept", name)
			assert.Equal(t, jsonValue(t, content), jsonValue(t, body), name)
		case "n", "i":
			assert.Equal(t, 502, status, name)
			assert.True(t, json.Valid(body), name)
			assert.Contains(t, string(body), `"title":"Bad Gateway"`, name)
		case "explained":
			assert.Equal(t, 200, status, name)
			assert.Empty(t, body, name)
		}
	}
	assert.Equal(t, map[string]int{"y": 95, "n": 187, "i accepted": 11, "i": 24, "explained": 1}, counts)
}

func jsonValue(t *testing.T, b []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	require.NoError(t, d.Decode(&v), "%s", b)
	return v
}
