package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluice-go/sluice/endpoint/auth"
)

// options are the flags.
type options struct {
	addr, admin, issuer string
	upstream, redis     string
	jwks                string
	trusted             []netip.Prefix
	origins, hosts      []string
	bots                []string
	rate, burst         int
	apiKeys             []auth.APIKey
	cert, key, clientCA string
	http3               bool
	log                 string
	timeout             time.Duration
}

// parseOptions reads the flags. The error joins all that is wrong with them.
func parseOptions(args []string, tell io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("edge", flag.ContinueOnError)
	flags.SetOutput(tell)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:8080", "address of the API")
	flags.StringVar(&o.admin, "admin", "127.0.0.1:8081", "address for operators: plan and revocation")
	flags.StringVar(&o.issuer, "issuer", "127.0.0.1:8082", "address of the issuer of tokens, and its name")
	flags.StringVar(&o.upstream, "upstream", "", "URL of the upstream; by default an echo")
	flags.StringVar(&o.redis, "redis", "", "address of a Redis for limits, revocations and kept answers, as in 127.0.0.1:6379")
	flags.StringVar(&o.jwks, "jwks", "", "URL of a key set to take in place of the issuer's, which does not listen then")
	flags.Func("trusted", "networks of trusted proxies, as in 10.0.0.0/8,::1/128", list(&o.trusted, netip.ParsePrefix))
	flags.Func("origins", "origins of the pages that may call, with credentials", list(&o.origins, same))
	flags.Func("hosts", "hosts that are served; by default any", list(&o.hosts, same))
	o.bots = []string{"^BadBot"}
	flags.Func("bots", `patterns of user agents that are refused (default "^BadBot")`, func(s string) error {
		o.bots = nil
		return list(&o.bots, same)(s)
	})
	flags.IntVar(&o.rate, "rate", 5, "requests a second of each caller, or of each address for /public")
	flags.IntVar(&o.burst, "burst", 10, "how many of them at once")
	var keys []string // they are read later, because package flag shows a value that is wrong
	flags.Func("apikey", "name=secret[:role,...]: a key that may be sent in X-Api-Key; may be repeated", func(s string) error {
		keys = append(keys, s)
		return nil
	})
	flags.StringVar(&o.cert, "cert", "", "file of the certificate; with it the API is served by https")
	flags.StringVar(&o.key, "key", "", "file of its private key")
	flags.StringVar(&o.clientCA, "client-ca", "", "file of the authorities of client certificates, which are optional")
	flags.BoolVar(&o.http3, "http3", false, "serve HTTP/3 too, on the same port; needs -cert")
	flags.StringVar(&o.log, "log", "text", "format of the access log: json or text")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Second, "how long a request may take, without its body")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	o.upstream = strings.TrimSuffix(o.upstream, "/") // before the path of a route
	var errs []error
	for _, key := range keys {
		errs = append(errs, o.addAPIKey(key))
	}
	return o, errors.Join(append(errs, o.fault())...)
}

// fault joins what is wrong with the options.
func (o *options) fault() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, u := range []struct{ flag, value string }{{"-upstream", o.upstream}, {"-jwks", o.jwks}} {
		if parsed, err := url.Parse(u.value); u.value != "" && (err != nil || parsed.Host == "") {
			fault("%s is %q, want a URL as in http://127.0.0.1:9000", u.flag, u.value)
		}
	}
	if (o.cert == "") != (o.key == "") {
		fault("-cert and -key belong together")
	}
	if o.cert == "" && (o.clientCA != "" || o.http3) {
		fault("-client-ca and -http3 need -cert and -key")
	}
	if !slices.Contains([]string{"json", "text"}, o.log) {
		fault("-log is %q, want json or text", o.log)
	}
	if o.timeout <= 0 {
		fault("-timeout is %v, want more than 0", o.timeout)
	}
	return errors.Join(errs...)
}

// addAPIKey adds the key that name=secret[:role,...] describes.
func (o *options) addAPIKey(s string) error {
	name, rest, ok := strings.Cut(s, "=")
	secret, roles, hasRoles := strings.Cut(rest, ":")
	if !ok || name == "" || secret == "" {
		return errors.New("-apikey: want name=secret[:role,...]") // the text may be a secret
	}
	if len(secret) > auth.MaxAPIKey {
		return fmt.Errorf("-apikey: the secret of %s has more than %d bytes", name, auth.MaxAPIKey)
	}
	key := auth.APIKey{Name: name, Digest: auth.DigestOf(secret)}
	if hasRoles {
		if err := list(&key.Roles, same)(roles); err != nil {
			return err
		}
	}
	o.apiKeys = append(o.apiKeys, key)
	return nil
}

// list reads a list with commas between its elements.
func list[T any](to *[]T, parse func(string) (T, error)) func(string) error {
	return func(s string) error {
		for element := range strings.SplitSeq(s, ",") {
			if element = strings.TrimSpace(element); element == "" {
				continue
			}
			value, err := parse(element)
			if err != nil {
				return err
			}
			*to = append(*to, value)
		}
		return nil
	}
}

func same(s string) (string, error) { return s, nil }
