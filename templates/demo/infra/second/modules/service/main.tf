terraform {
  required_version = ">= 1.4"
}

variable "name" {
  type = string
}

variable "image" {
  type = string
}

variable "replicas" {
  type = number
}

resource "terraform_data" "instance" {
  count = var.replicas
  input = {
    name  = "${var.name}-${count.index + 1}"
    image = var.image
  }
}

resource "terraform_data" "health_check" {
  input = { url = "https://${var.name}.example.com/healthz", every = "30s" }
}

output "endpoint" {
  value = "https://${var.name}.example.com"
}
