package main

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestParseFault(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		query, want string
		err         string
	}{
		{query: "", want: ""},
		{query: "latency=300ms&errors=0.5&hang=1&crash=1&cut=1", want: "latency 300ms, errors 50 %, hang, crash, cut"},
		{query: "latency=0s&errors=0&hang=0&crash=false&cut=f", want: ""},
		{query: "errors=1", want: "errors 100 %"},
		{query: "latency=-1s", err: "latency: want 0 or more"},
		{query: "latency=300", err: `latency: time: missing unit in duration "300"`},
		{query: "latency=", err: `latency: time: invalid duration ""`},
		{query: "errors=1.01", err: "errors: want a share from 0 to 1"},
		{query: "errors=-0.1", err: "errors: want a share from 0 to 1"},
		{query: "errors=NaN", err: "errors: want a share from 0 to 1"},
		{query: "hang=2", err: `hang: strconv.ParseBool: parsing "2": invalid syntax`},
		{query: "crash", err: `crash: strconv.ParseBool: parsing "": invalid syntax`},
		{query: "cut=1&cut=1", err: "cut: there is more than one value"},
		{query: "Hang=1", err: "Hang: there is no such fault"},
		{query: "zz=1&errors=2", err: "errors: want a share from 0 to 1\nzz: there is no such fault"},
		{query: "hang=%zz", err: `invalid URL escape "%zz"`},
		{query: "hang=1;cut=1", err: "invalid semicolon separator in query"},
	} {
		t.Run(tt.query, func(t *testing.T) {
			t.Parallel()
			f, err := parseFault(tt.query)
			if tt.err != "" {
				assert.EqualError(t, err, tt.err)
				assert.Zero(t, f)
				return
			}
			assert.NoError(t, err)
			assert.Equal(t, tt.want, f.String())
		})
	}
}

func FuzzParseFault(f *testing.F) {
	f.Add("latency=300ms&errors=0.5&hang=1&crash=1&cut=1")
	f.Add("errors=NaN")
	f.Add("errors=0x1p-2&latency=1h")
	f.Fuzz(func(t *testing.T, query string) {
		fault, err := parseFault(query)
		if err != nil {
			assert.Zero(t, fault)
			return
		}
		assert.GreaterOrEqual(t, fault.Latency, time.Duration(0))
		assert.True(t, fault.Errors >= 0 && fault.Errors <= 1)
		again, err := parseFault(url.Values{
			"latency": {fault.Latency.String()}, "errors": {fmt.Sprint(fault.Errors)},
			"hang": {fmt.Sprint(fault.Hang)}, "crash": {fmt.Sprint(fault.Crash)}, "cut": {fmt.Sprint(fault.Cut)},
		}.Encode())
		assert.NoError(t, err)
		assert.Equal(t, fault, again)
	})
}
