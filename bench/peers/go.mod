module github.com/sluice-go/sluice/bench/peers

go 1.26.0

require github.com/sluice-go/sluice v0.0.0

replace github.com/sluice-go/sluice => ../..

require (
	github.com/failsafe-go/failsafe-go v0.9.8
	github.com/go-chi/chi/v5 v5.5.0
	github.com/go-chi/httprate v0.16.1
	github.com/go-json-experiment/json v1.27.2
	github.com/gregjones/httpcache v0.0.0-20190611155906-901d90724c79
	github.com/rs/cors v1.11.1
	github.com/sony/gobreaker/v2 v2.4.0
	github.com/stretchr/testify v1.12.1
	github.com/unrolled/secure v1.18.0
	go.uber.org/goleak v1.3.0
	golang.org/x/time v0.16.0
)

require (
	github.com/klauspost/cpuid/v2 v2.2.10 // indirect
	github.com/zeebo/xxh3 v1.0.2 // indirect
	golang.org/x/sys v0.30.0 // indirect
)

require (
	github.com/bits-and-blooms/bitset v1.24.4 // indirect
	github.com/dunglas/httpsfv v1.1.2 // indirect
	github.com/go-jose/go-jose/v4 v4.1.9
	github.com/golang-jwt/jwt/v5 v5.3.1
	github.com/maypok86/otter/v2 v2.4.0 // indirect
	github.com/sluice-go/sluice/endpoint/jwt v0.0.0
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)

replace github.com/sluice-go/sluice/endpoint/jwt => ../../endpoint/jwt
