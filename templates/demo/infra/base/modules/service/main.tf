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

output "endpoint" {
  value = "https://${var.name}.example.com"
}
