package shape_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/proxy/shape"
)

func TestTextOpsChangeOnlyNamedStrings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		op       shape.Op
		in, want string
	}{
		{"upper", shape.Upper("a"), `{"a":"grün","b":"x"}`, `{"a":"GRÜN","b":"x"}`},
		{"lower", shape.Lower("a.*.c"), `{"a":[{"c":"EUR"},{"d":"USD"}]}`, `{"a":[{"c":"eur"},{"d":"USD"}]}`},
		{"trim", shape.Trim("a", "b"), `{"a":" x\n","b":"\u00a0y","c":" z "}`, `{"a":"x","b":"y","c":" z "}`},
		{"replace", shape.Replace("a", "http:", "https:"), `{"a":"http://a http://b"}`, `{"a":"https://a https://b"}`},
		{"replace is no pattern", shape.Replace("a", ".*", "$1"), `{"a":"x.*"}`, `{"a":"x$1"}`},
		{"what needs escapes", shape.Replace("a", "x", "\"\\\n<&>\u2028"), `{"a":"x"}`, `{"a":"\"\\\n<&>\u2028"}`},
		{"not where nothing changes", shape.Upper("a"), `{"a":"\u0041\/"}`, `{"a":"\u0041\/"}`},
		{"null", shape.Upper("a"), `{"a":null}`, `{"a":null}`},
		{"missing", shape.Upper("a.b"), `{"a":1}`, `{"a":1}`},
		{"every name", shape.Upper("a"), `{"a":"x","\u0061":"y"}`, `{"a":"X","\u0061":"Y"}`},
		{"no path", shape.Upper(), `{"a":"x"}`, `{"a":"x"}`},
		{"nothing", shape.Upper("a"), ``, ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := parsed(t, tt.in)
			out, err := tt.op(t.Context(), in)
			require.NoError(t, err)
			assert.Equal(t, tt.want, out.String())
			assert.Equal(t, tt.in, in.String())
		})
	}
}
