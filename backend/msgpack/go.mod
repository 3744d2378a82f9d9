module github.com/sluice-go/sluice/backend/msgpack

go 1.26.0

require (
	github.com/sluice-go/sluice v0.0.0
	github.com/stretchr/testify v1.12.1
	github.com/tinylib/msgp v1.6.5
	go.uber.org/goleak v1.3.0
)

require (
	github.com/philhofer/fwd v1.2.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)

replace github.com/sluice-go/sluice => ../..
