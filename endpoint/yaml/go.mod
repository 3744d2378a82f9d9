module github.com/sluice-go/sluice/endpoint/yaml

go 1.26.0

require (
	github.com/sluice-go/sluice v0.0.0
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
	go.yaml.in/yaml/v3 v3.0.6
)

replace github.com/sluice-go/sluice => ../..
