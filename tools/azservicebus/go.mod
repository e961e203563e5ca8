// The release of azservicebus whose own tests `make sdk-tests-go` runs against the emulator.
module azservicebus

go 1.25.0

require github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus v1.11.0
