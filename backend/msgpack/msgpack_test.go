package msgpack_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tinylib/msgp/msgp"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/msgpack"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestValuesAreMappedAsDocumented(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 30, 12, 0, 0, 5000, time.UTC)
	for _, tt := range []struct {
		name string
		body []byte
		want string
	}{
		{"nil", msgp.AppendNil(nil), `null`},
		{"true", msgp.AppendBool(nil, true), `true`},
		{"false", msgp.AppendBool(nil, false), `false`},
		{"a small int", msgp.AppendInt(nil, -7), `-7`},
		{"the smallest int", msgp.AppendInt64(nil, math.MinInt64), `-9223372036854775808`},
		{"the largest uint", msgp.AppendUint64(nil, math.MaxUint64), `18446744073709551615`},
		{"a fixint", []byte{0x7f}, `127`},
		{"float 32", msgp.AppendFloat32(nil, 0.1), `0.1`},
		{"float 64", msgp.AppendFloat64(nil, -1.5e300), `-1.5e+300`},
		{"zero", msgp.AppendFloat64(nil, 0), `0`},
		{"str", msgp.AppendString(nil, "é\"\\\n\x00"), `"é\"\\\n\u0000"`},
		{"bin", msgp.AppendBytes(nil, []byte{0xff, 0xfe}), `"//4="`},
		{"no bin", msgp.AppendBytes(nil, nil), `""`},
		{"array", msgp.AppendInt(msgp.AppendArrayHeader(msgp.AppendArrayHeader(nil, 2), 0), 1), `[[],1]`},
		{"map", msgp.AppendInt(msgp.AppendString(msgp.AppendNil(msgp.AppendString(msgp.AppendMapHeader(nil, 2), "z")), "a"), 1), `{"z":null,"a":1}`},
		{"keys", msgp.AppendNil(msgp.AppendBool(msgp.AppendNil(msgp.AppendInt(msgp.AppendMapHeader(nil, 2), -1)), true)), `{"-1":null,"true":null}`},
		{"a timestamp", msgp.AppendTimeExt(nil, at), `"2026-11-30T12:00:00.000005Z"`},
		{"a short timestamp", msgp.AppendTimeExt(nil, at.Truncate(time.Second)), `"2026-11-30T12:00:00Z"`},
		{"a long timestamp", msgp.AppendTimeExt(nil, time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)), `"0001-01-01T00:00:00.000000001Z"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := msgpack.Decoder{}.Decode("", tt.body)
			require.NoError(t, err)
			assert.Equal(t, tt.want, d.String())
		})
	}
}

// proves M8
func TestErrorsDoNotQuoteTheBody(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		body []byte
		want string
	}{
		{"nothing", nil, "msgpack: offset 0: not MessagePack"},
		{"an unused lead", []byte{0xc1}, "msgpack: offset 0: not MessagePack"},
		{"a short string", []byte("\xa9secret"), "msgpack: offset 0: not MessagePack"},
		{"a short int", []byte{0xd3, 1}, "msgpack: offset 0: not MessagePack"},
		{"four billion elements", []byte{0xdd, 0xff, 0xff, 0xff, 0xff, 1}, "msgpack: offset 6: not MessagePack"},
		{"four billion members", []byte{0xdf, 0xff, 0xff, 0xff, 0xff, 1}, "msgpack: offset 6: not MessagePack"},
		{"a key without a value", []byte{0x81, 0xa1, 'a'}, "msgpack: offset 3: not MessagePack"},
		{"bytes behind", []byte{1, 2}, "msgpack: offset 1: bytes after the value"},
		{"no UTF-8", msgp.AppendString(nil, "\xff"), "msgpack: offset 0: a string is not UTF-8"},
		{"NaN", msgp.AppendFloat64(nil, math.NaN()), "msgpack: offset 0: a number that JSON does not have"},
		{"infinity", msgp.AppendFloat32(nil, float32(math.Inf(-1))), "msgpack: offset 0: a number that JSON does not have"},
		{"a key that is nil", []byte{0x81, 0xc0, 0xc0}, "msgpack: offset 1: a key that is neither string, integer nor bool"},
		{"a key that is a map", []byte{0x81, 0x80, 0xc0}, "msgpack: offset 1: a key that is neither string, integer nor bool"},
		{"an extension", []byte{0xd4, 1, 1}, "msgpack: offset 0: an extension that is not a timestamp"},
		{"a time of the library", msgp.AppendTime(nil, time.Unix(0, 0)), "msgpack: offset 0: an extension that is not a timestamp"},
		{"a complex number", msgp.AppendComplex64(nil, 1), "msgpack: offset 0: an extension that is not a timestamp"},
		{"half an extension", []byte{0xc7, 8}, "msgpack: offset 0: not MessagePack"},
		{"a timestamp of 5 bytes", []byte{0xc7, 5, 0xff, 0, 0, 0, 0, 0}, "msgpack: offset 0: not MessagePack"},
		{"the year 300,000", msgp.AppendTimeExt(nil, time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC)), "msgpack: offset 0: a timestamp outside the years 0 to 9999"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := msgpack.Decoder{}.Decode("", tt.body)
			assert.EqualError(t, err, tt.want)
			assert.True(t, d.IsZero())
		})
	}
}

func TestDepthIsBounded(t *testing.T) {
	t.Parallel()
	nested := func(n int) []byte { return []byte(strings.Repeat("\x91", n) + "\xc0") }
	_, err := msgpack.Decoder{}.Decode("", nested(512))
	assert.NoError(t, err)
	_, err = msgpack.Decoder{}.Decode("", nested(513))
	assert.ErrorIs(t, err, document.ErrDepth)
	_, err = msgpack.Decoder{Depth: 2}.Decode("", []byte("\x81\xa1a\x81\xa1b\x90"))
	assert.ErrorIs(t, err, document.ErrDepth)
	_, err = msgpack.Decoder{Depth: -1}.Decode("", nested(10_000))
	assert.NoError(t, err)
	_, err = msgpack.Decoder{Depth: -1}.Decode("", nested(8<<20))
	assert.ErrorIs(t, err, document.ErrDepth)
}

func TestAnUpstreamsAnswerIsDecoded(t *testing.T) {
	t.Parallel()
	transport := roundTrip(func(*http.Request) *http.Response {
		return answer("application/msgpack", string(msgp.AppendString(nil, "a")))
	})
	p := pipe.Check(backend.HTTP{Transport: transport}.New(backend.Spec{Name: "up", URL: "http://up",
		Decode: backend.Auto(map[string]backend.Decoder{"application/msgpack": msgpack.Decoder{}})}))
	res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
	require.NoError(t, err)
	assert.Equal(t, `"a"`, res.Document.String())
	assert.Contains(t, pipe.PlanOf(p).String(), "auto or msgpack")
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"\xc0", "\x82\xa1a\x01\xa1b\x92\xc2\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00", "\xd6\xff\x00\x00\x00\x01", "\xc4\x01\xff", "\xdd\xff\xff\xff\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := msgpack.Decoder{Depth: 20}.Decode("", body)
		if err != nil {
			assert.True(t, d.IsZero())
			assert.False(t, errors.As(err, new(*document.Error)), "it is not what the reader writes that is wrong")
			return
		}
		assert.True(t, json.Valid([]byte(d.String())))
		assert.LessOrEqual(t, d.Size(), 8*len(body))
	})
}

// proves T10
func TestDecodingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	body := []byte("\xdc\x27\x10" + strings.Repeat("\xc0", 10_000))
	_, err := msgpack.Decoder{}.DecodeContext(t.Context(), "", body)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = msgpack.Decoder{}.DecodeContext(ctx, "", body)
	assert.ErrorIs(t, err, context.Canceled)
}

// proves T10
func TestDecodingAllocatesInProportionToTheBody(t *testing.T) {
	const size = 1 << 20
	for name, part := range map[string]string{"nil": "\xc0", "bools": "\xc2", "integers": "\xff", "floats": "\xca\x01\x01\x01\x01", "long texts": "\xd9\xff" + strings.Repeat("\x01", 255)} {
		n := size / len(part)
		body := []byte("\xdd" + string([]byte{0, byte(n >> 16), byte(n >> 8), byte(n)}) + strings.Repeat(part, n))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := msgpack.Decoder{}.Decode("", body)
		runtime.ReadMemStats(&after)
		require.NoError(t, err, name)
		assert.Less(t, float64(after.TotalAlloc-before.TotalAlloc)/float64(len(body)), 16.0, name)
	}
}
