package jsonschema_test

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/jsonschema"
)

// suite returns the folder of JSON-Schema-Test-Suite.
func suite(t *testing.T) string {
	folder := os.Getenv("SLUICE_VECTORS")
	if folder == "" {
		folder = "../../../shared/vectors" // beside the folder of go.work
	}
	folder = filepath.Join(folder, "JSON-Schema-Test-Suite")
	if _, err := os.Stat(folder); err != nil {
		t.Skip("the vectors are not here; SLUICE_VECTORS says where they are")
	}
	return folder
}

// remotes returns the schemas that the suite refers to by the URL of a server.
func remotes(t *testing.T, folder string) map[string]string {
	all := map[string]string{}
	root := filepath.Join(folder, "remotes")
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all["http://localhost:1234/"+filepath.ToSlash(strings.TrimPrefix(path, root+string(filepath.Separator)))] = string(text)
		return err
	}))
	return all
}

// Each case is a schema in front of an upstream, and an instance that is sent to its endpoint. What the
// suite calls valid reaches the upstream, and all else is a problem of status 400.
//
// proves O9
func TestTheSuiteThroughAnEndpoint(t *testing.T) {
	t.Parallel()
	folder := suite(t)
	resources := remotes(t, folder)
	for _, draft := range []struct {
		folder, url string
		cases       int
	}{
		{"draft7", jsonschema.Draft7, 927},
		{"draft2019-09", jsonschema.Draft2019, 1259},
		{"draft2020-12", jsonschema.Draft2020, 1299},
	} {
		t.Run(draft.folder, func(t *testing.T) {
			t.Parallel()
			files, err := filepath.Glob(filepath.Join(folder, "tests", draft.folder, "*.json"))
			require.NoError(t, err)
			cases := 0
			for _, file := range files {
				text, err := os.ReadFile(file)
				require.NoError(t, err)
				var groups []struct {
					Description string
					Schema      json.RawMessage
					Tests       []struct {
						Description string
						Data        json.RawMessage
						Valid       bool
					}
				}
				require.NoError(t, json.Unmarshal(text, &groups))
				for _, group := range groups {
					name := filepath.Base(file) + ": " + group.Description
					schema, err := jsonschema.New(jsonschema.Spec{Text: string(group.Schema), Resources: resources, Draft: draft.url})
					if !assert.NoError(t, err, "%s", name) {
						continue
					}
					upstream, calls := counted()
					h, err := endpoint.New(endpoint.Spec{Proxy: upstream.With(jsonschema.Body(schema))})
					require.NoError(t, err)
					for _, test := range group.Tests {
						cases++
						before := calls.Load()
						w := httptest.NewRecorder()
						h.ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader(string(test.Data))))
						want, called := http.StatusOK, int32(1)
						if !test.Valid {
							want, called = http.StatusBadRequest, 0
						}
						assert.Equal(t, want, w.Code, "%s: %s: %s", name, test.Description, w.Body)
						assert.Equal(t, called, calls.Load()-before, "%s: %s", name, test.Description)
					}
				}
			}
			assert.Equal(t, draft.cases, cases)
		})
	}
}
